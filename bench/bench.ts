import { contenderKinds } from './contenders/index.js'
import { contest } from './contest.js'
import { measureGrowth } from './growth.js'
import { describeMachine } from './machine.js'
import { readOptions } from './options.js'
import { writeDocument } from './report/markdown.js'
import { drawThroughput } from './report/plot.js'
import { openProgress } from './report/progress.js'
import { growthTableOf, tableOf } from './report/terminal.js'
import { type Growth, type MeasuredServer, type Measurement, writeResults } from './results.js'
import { countCommands } from './round-trips.js'
import { describeServer, openServers } from './servers.js'

const options = readOptions()
const begin = new Date()
countCommands()
const servers = await openServers(options, (line) => console.log(line))
const described: MeasuredServer[] = []
const measurements: Measurement[] = []
const growth: Growth[] = []
try {
  for (const server of servers) {
    described.push(await describeServer(server))
    const progress = openProgress(process.stdout, server.name, options)
    const measured = await contest(server, contenderKinds, options, progress)
    progress.end()
    console.log(tableOf(server.name, measured))
    measurements.push(...measured)
  }
  const growing = options.scale === 'none' ? [] : options.scale === 'one server' ? servers.slice(0, 1) : servers
  for (const server of growing) {
    const grown = await measureGrowth(server, options.effort, (line) => console.log(line))
    console.log(growthTableOf(grown))
    growth.push(...grown)
  }
} finally {
  await Promise.all(servers.map((server) => server.stop()))
}
if (options.complete) {
  const { rounds, slice } = options.effort
  const machine = describeMachine()
  const results = { date: begin.toISOString(), machine, rounds, slice, servers: described, measurements, growth }
  await writeResults(results)
  await writeDocument(results)
  await drawThroughput(results)
  console.log(
    "Wrote bench/results.json, results.md and throughput.svg. 'npm run bench:figures' brings the README up to date.",
  )
}
