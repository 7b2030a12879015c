-- cancel takes back the request of one who gives up. If it was granted in this
-- moment, the lock goes to the next. It returns any owner's entry.
--
-- ARGV: sharded or not, holder, its session, milliseconds as for withdraw.
withdraw(ARGV[2], ARGV[3], ARGV[4])
return somebody()
