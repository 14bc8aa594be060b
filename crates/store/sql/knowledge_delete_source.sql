DELETE FROM knowledge WHERE source = $1
