-- wrk script: quorate.lua METHOD KEYS QUERY
-- Every request is made before the start, so that the generator costs both systems the same.
package.path = package.path .. ";" .. os.getenv("QUORATE_BENCH_LUA") .. "/?.lua"
local report = require("report")

function init(args)
   local method, keys, query = args[1], tonumber(args[2]), args[3]
   local body = method == "PUT" and string.rep("v", 100) or nil
   requests = {}
   for i = 1, keys do
      local path = string.format("/v1/kv/default/key-%d?%s", i, query)
      requests[i] = wrk.format(method, path, {}, body)
   end
   math.randomseed(os.time())
end

function request()
   return requests[math.random(#requests)]
end

done = report.done
