-- wrk script: requests.lua FILE
-- Requests come ready made from a file, each "SIZE\n" and its bytes, and are drawn by chance: the
-- generator costs all systems the same.
package.path = package.path .. ";" .. os.getenv("QUORATE_BENCH_LUA") .. "/?.lua"
local report = require("report")

function init(args)
   local file = assert(io.open(args[1], "rb"))
   requests = {}
   for size in file.lines(file) do
      requests[#requests + 1] = file:read(tonumber(size))
   end
   file:close()
   math.randomseed(os.time())
end

function request()
   return requests[math.random(#requests)]
end

done = report.done
