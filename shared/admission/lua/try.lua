-- Takes a call if no party waits for one.
-- Returns 0, or in how many ms to retry
return try(1)
