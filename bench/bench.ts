import { contenderKinds } from './contenders/index.js'
import { contest } from './contest.js'
import { describeMachine } from './machine.js'
import { readOptions } from './options.js'
import { openProgress } from './report/progress.js'
import { tableOf } from './report/terminal.js'
import { type MeasuredServer, type Measurement, writeResults } from './results.js'
import { countCommands } from './round-trips.js'
import { describeServer, openServers } from './servers.js'

const options = readOptions()
const begin = new Date()
countCommands()
const servers = await openServers(options, (line) => console.log(line))
const described: MeasuredServer[] = []
const measurements: Measurement[] = []
try {
  for (const server of servers) {
    described.push(await describeServer(server))
    const progress = openProgress(process.stdout, server.name, options)
    const measured = await contest(server, contenderKinds, options, progress)
    progress.end()
    console.log(tableOf(server.name, measured))
    measurements.push(...measured)
  }
} finally {
  await Promise.all(servers.map((server) => server.stop()))
}
if (options.complete) {
  const { rounds, slice } = options.effort
  const date = begin.toISOString()
  await writeResults({
    date,
    machine: describeMachine(),
    rounds,
    slice,
    servers: described,
    measurements,
    growth: [],
  })
}
