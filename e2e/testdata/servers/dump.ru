# Answers with every way in which a Rack application reads who asks, a line each.
run(lambda do |env|
  lines = env.select { |_, value| value.is_a?(String) }.map { |name, value| "#{name}=#{value}\n" }
  [200, { 'Content-Type' => 'text/plain' }, lines + ["ROUTE=#{env['PATH_INFO']}\n"]]
end)
