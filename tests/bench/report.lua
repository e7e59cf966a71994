-- The result of a wrk run as one line of JSON.
local report = {}

function report.latencies(latency)
   return string.format(
      '"p50_us": %d, "p90_us": %d, "p99_us": %d, "p999_us": %d, "max_us": %d',
      latency:percentile(50), latency:percentile(90), latency:percentile(99),
      latency:percentile(99.9), latency.max)
end

function report.done(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      'RESULT {"requests": %d, "us": %d, %s, "refused": %d, "broken": %d}\n',
      summary.requests, summary.duration, report.latencies(latency),
      errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end

return report
