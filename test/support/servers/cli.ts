import { setTimeout as sleep } from 'node:timers/promises'
import { findServers } from './index.js'
import { serverKinds } from './kinds.js'

// Starts all servers and stays, so that tests can be run against them again and again:
//   npm run servers, and in another terminal the lines it prints.
const servers = await findServers({ report: (line) => console.error(line) })
for (const { name, url } of servers) {
  const kind = serverKinds.find((candidate) => candidate.name === name)
  if (kind !== undefined) console.log(`export ${kind.variable}=${url}`)
}
console.error('Running until Ctrl-C.')
await sleep(2 ** 31 - 1)
