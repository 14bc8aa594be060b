SELECT title, source, url, body FROM knowledge WHERE id = $1
