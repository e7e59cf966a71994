-- The result of a wrk run as one line of JSON.
local report = {}

function report.done(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      'RESULT {"requests": %d, "us": %d, "p50_us": %d, "p99_us": %d, ' ..
      '"refused": %d, "broken": %d}\n',
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
      errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end

return report
