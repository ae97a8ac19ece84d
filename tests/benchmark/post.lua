-- The requests of wrk and what it tells of them: wrk … -s post.lua URL -- BODY_FILE MEAN_PAUSE, in milliseconds.
-- With a pause each connection waits 0 to 2 * MEAN_PAUSE before each request, at random and whatever the others do:
-- many of them together ask at a steady rate that a slow answer doesn't lower.
local message

function init(arguments)
   local file = assert(io.open(arguments[1], "rb"))
   message = wrk.format("POST", nil, {["content-type"] = "application/json"}, file:read("*a"))
   file:close()
   local pause = tonumber(arguments[2])
   if pause > 0 then
      math.randomseed(os.time())
      delay = function() return math.random(0, 2 * pause) end
   end
end

function request()
   return message
end

function done(summary, latency)
   local n_errors = 0
   for _, count in pairs(summary.errors) do
      n_errors = n_errors + count
   end
   local percentiles = {}
   for _, percent in ipairs({50, 75, 90, 95, 99, 99.9}) do
      table.insert(percentiles, string.format('"%g": %g', percent, latency:percentile(percent) / 1000))
   end
   io.write(string.format('\n{"n_requests": %d, "seconds": %g, "n_errors": %d, "milliseconds": {%s}}\n',
      summary.requests, summary.duration / 1e6, n_errors, table.concat(percentiles, ", ")))
end
