-- wrk script: hot.lua quorate|etcd add|cas
-- Everybody writes one key. One connection in each thread (wrk -t64 -c64), so that a thread is a
-- client and what it gets done can be told from what the others do.
--   add  a write that depends on nothing: a counter's :add; a transaction whose condition holds
--   cas  read once, then write what was read plus one if nobody else did, and again from what the
--        refusal shows
package.path = package.path .. ";" .. os.getenv("QUORATE_BENCH_LUA") .. "/?.lua"
local report = require("report")

local KEY = "aG90" -- "hot" in base64
local RANGE = '{"request_range":{"key":"' .. KEY .. '"}}'
local PUT = '{"request_put":{"key":"' .. KEY .. '","value":"MQ=="}}'
local threads = {}

function setup(thread)
   threads[#threads + 1] = thread
end

local quorate, etcd = {}, {}

function quorate.add()
   return wrk.format("POST", "/v1/counters/bank/hot:add", {}, '{"by":1}')
end

function quorate.read()
   return wrk.format("GET", "/v1/kv/bank/hot", {})
end

function quorate.write(tag)
   return wrk.format("PUT", "/v1/kv/bank/hot", { ["If-Match"] = tag }, "1")
end

function quorate.judge(status, headers, body)
   return status == 200 or status == 204, headers["etag"]
end

local function json(path, body)
   return wrk.format("POST", path, { ["Content-Type"] = "application/json" }, body)
end

function etcd.add()
   return json("/v3/kv/txn", '{"compare":[{"target":"VERSION","key":"' .. KEY ..
      '","result":"GREATER","version":"0"}],"success":[' .. PUT .. '],"failure":[' .. PUT .. ']}')
end

function etcd.read()
   return json("/v3/kv/range", '{"key":"' .. KEY .. '"}')
end

function etcd.write(tag)
   return json("/v3/kv/txn", '{"compare":[{"target":"MOD","key":"' .. KEY ..
      '","result":"EQUAL","mod_revision":"' .. tag .. '"}],"success":[' .. PUT ..
      '],"failure":[' .. RANGE .. ']}')
end

function etcd.judge(status, headers, body)
   -- After a success of its own the header's revision is the key's.
   local tag = body:match('"mod_revision":"(%d+)"') or body:match('"revision":"(%d+)"')
   return status == 200 and body:find('"succeeded":true', 1, true) ~= nil, tag
end

function init(args)
   system = args[1] == "etcd" and etcd or quorate
   mode, good, failed = args[2], 0, 0
end

function request()
   if mode == "add" then
      return system.add()
   end
   reading = tag == nil
   return reading and system.read() or system.write(tag)
end

function response(status, headers, body)
   local done, seen = system.judge(status, headers, body)
   if mode == "cas" then
      tag = seen
   end
   if done and not reading then
      good = good + 1
   elseif status ~= 200 and status ~= 412 then
      failed = failed + 1
   end
end

function done(summary, latency)
   local counts, total, broken = {}, 0, 0
   for _, thread in ipairs(threads) do
      counts[#counts + 1] = thread:get("good")
      total = total + thread:get("good")
      broken = broken + thread:get("failed")
   end
   table.sort(counts)
   local errors = summary.errors
   io.write(string.format(
      'RESULT {"requests": %d, "us": %d, %s, "attempts": %d, "slowest": %d, "median": %d, ' ..
      '"refused": %d, "broken": %d}\n',
      total, summary.duration, report.latencies(latency), summary.requests, counts[1],
      counts[math.ceil(#counts / 2)], broken,
      errors.connect + errors.read + errors.write + errors.timeout))
end
