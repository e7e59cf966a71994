-- wrk script: etcd.lua put|range|serializable KEYS FOLDER
-- The bodies come from a file, since base64 is not at hand here: one a line.
package.path = package.path .. ";" .. os.getenv("QUORATE_BENCH_LUA") .. "/?.lua"
local report = require("report")

function init(args)
   local path = args[1] == "put" and "/v3/kv/put" or "/v3/kv/range"
   local headers = { ["Content-Type"] = "application/json" }
   requests = {}
   for line in io.lines(args[3] .. "/" .. args[1]) do
      requests[#requests + 1] = wrk.format("POST", path, headers, line)
   end
   assert(#requests == tonumber(args[2]))
   math.randomseed(os.time())
end

function request()
   return requests[math.random(#requests)]
end

done = report.done
