SELECT name, running FROM servers ORDER BY name
