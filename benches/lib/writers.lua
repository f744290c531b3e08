-- sysbench's oltp_write_only transaction with a clock: how long did a writer wait, from its first attempt to its commit?
-- In: --stall_dir, a folder. Out: one file per thread, lines "START END" in seconds of CLOCK_MONOTONIC, the longest
-- transaction of each tenth of a second. Must not know: what else runs on the server.
require("oltp_common")

local ffi = require("ffi")
ffi.cdef [[
struct bench_time { long seconds; long nanoseconds; };
int clock_gettime(int clock, struct bench_time *now);
]]

sysbench.cmdline.options.stall_dir = {"Folder for the files of longest transactions", "."}

local time = ffi.new("struct bench_time")
local connect_thread = thread_init
local file, began
local longest = {bucket = -1, start = 0, stop = 0}

local function now()
   ffi.C.clock_gettime(1, time)
   return tonumber(time.seconds) + tonumber(time.nanoseconds) / 1e9
end

local function record(start, stop)
   local bucket = math.floor(stop * 10)
   if bucket ~= longest.bucket then
      if longest.bucket >= 0 then
         file:write(string.format("%.6f %.6f\n", longest.start, longest.stop))
      end
      longest = {bucket = bucket, start = start, stop = stop}
   elseif stop - start > longest.stop - longest.start then
      longest.start, longest.stop = start, stop
   end
end

function prepare_statements()
   prepare_begin()
   prepare_commit()
   prepare_index_updates()
   prepare_non_index_updates()
   prepare_delete_inserts()
end

function thread_init()
   connect_thread()
   file = assert(io.open(string.format("%s/thread-%d", sysbench.opt.stall_dir, sysbench.tid), "w"))
   file:setvbuf("line")
end

-- What a failed statement left of its transaction must not be committed by the next BEGIN: each transaction holds the
-- number of rows, and the table is counted at the end.
local restart = sysbench.hooks.before_restart_event

function sysbench.hooks.before_restart_event(failure)
   restart(failure)
   con:query("ROLLBACK")
end

-- A failed transaction is started anew by sysbench; for the writer the wait goes on, so `began` is kept.
function event()
   began = began or now()
   begin()
   execute_index_updates()
   execute_non_index_updates()
   execute_delete_inserts()
   commit()
   record(began, now())
   began = nil
end
