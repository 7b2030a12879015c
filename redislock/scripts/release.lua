-- release takes the lock from an owner, and hands it on. It returns 1, or 0 if the
-- holder did not own the lock.
--
-- ARGV: sharded or not, holder, its session, milliseconds as for withdraw.
return withdraw(ARGV[2], ARGV[3], ARGV[4])
