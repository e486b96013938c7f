-- Takes a call if nobody waits for one.
-- Returns 0, or in how many ms there may be one
return try(1)
