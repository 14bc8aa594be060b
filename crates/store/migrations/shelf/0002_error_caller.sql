-- Who called, so that a caller is shown only errors of calls of its own. Empty: not known.
ALTER TABLE error_log ADD COLUMN caller TEXT NOT NULL DEFAULT '';
CREATE INDEX shelf_error_log_caller ON error_log (caller, id);
