SELECT id, title FROM knowledge ORDER BY added_at DESC, id DESC LIMIT $1
