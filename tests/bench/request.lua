-- wrk script: request.lua METHOD PATH COUNT BODY
-- "%d" in the path stands for a number from 1 to COUNT, drawn anew for each request.
package.path = package.path .. ";" .. os.getenv("QUORATE_BENCH_LUA") .. "/?.lua"
local report = require("report")

function init(args)
   local method, path, count, body = args[1], args[2], tonumber(args[3]), args[4]
   requests = {}
   for i = 1, count do
      requests[i] = wrk.format(method, (path:gsub("%%d", i)), {}, body)
   end
   math.randomseed(os.time())
end

function request()
   return requests[math.random(#requests)]
end

done = report.done
