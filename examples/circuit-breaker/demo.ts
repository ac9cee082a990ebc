// Four processes call a service that fails for a while. One circuit breaker, shared through the database, spares it.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import Table from 'cli-table3'
import { MySQLAdapter } from 'goscope-mysql'
import { createPool } from 'mysql2/promise'
import colours from 'picocolors'
import { openDatabase } from '../open-database.js'
import type { CallOutcome } from './caller.js'
import { startService } from './service.js'

const PROCESSES = 4
const STEP = 250
const FAILS_FROM = 1_000
const FAILS_UNTIL = 4_000
const END = 6_500

const database = await openDatabase('goscope_breaker_example', (line) => console.log(line))
const pool = createPool({ uri: database.url })
const state = new MySQLAdapter(pool, { keyPrefix: 'example:' })
await state.connect()
await state.circuits.breaker('service').reset()
const service = await startService()

const outcomes: Record<CallOutcome, number> = { answered: 0, failed: 0, rejected: 0 }
const transitions: string[] = []
const callers: ChildProcess[] = Array.from({ length: PROCESSES }, () => {
  const caller = fork(fileURLToPath(new URL('caller.ts', import.meta.url)), [database.url, service.url], {
    execArgv: ['--import', 'tsx'],
  })
  caller.on('message', (told: CallOutcome | string) => {
    if (told in outcomes) outcomes[told as CallOutcome]++
    else transitions.push(told)
  })
  return caller
})
await Promise.all(callers.map((caller) => once(caller, 'message')))

console.log(`${database.name}. ${PROCESSES} processes call a service that fails from 1 s to 4 s.\n`)
const table = new Table({
  head: ['s', 'service', 'circuit', 'answered', 'failed', 'rejected', 'reached the service', 'at once', 'changes'],
  colAligns: ['right', 'left', 'left', 'right', 'right', 'right', 'right', 'right', 'left'],
  style: { head: [], border: [], compact: true },
})
const total = { answered: 0, failed: 0, rejected: 0 }
let mostProbes = 0
let wasOpen = false
service.look()
const begin = performance.now()
for (let elapsed = STEP; elapsed <= END; elapsed += STEP) {
  service.isWell = elapsed <= FAILS_FROM || elapsed > FAILS_UNTIL
  await sleep(Math.max(0, begin + elapsed - performance.now()))
  const circuit = (await state.getState('service'))?.state ?? 'closed'
  const reached = service.look()
  const changes = transitions.splice(0)
  // Calls that were under way when it opened are no probes.
  if (circuit !== 'closed' && wasOpen) mostProbes = Math.max(mostProbes, reached.atOnce)
  wasOpen = circuit !== 'closed'
  table.push([
    (elapsed / 1_000).toFixed(2),
    service.isWell ? colours.green('well') : colours.red('fails'),
    circuit === 'closed' ? colours.green(circuit) : colours.red(circuit),
    outcomes.answered,
    outcomes.failed,
    outcomes.rejected,
    reached.answered + reached.refused,
    reached.atOnce,
    changes.join(', '),
  ])
  for (const outcome of ['answered', 'failed', 'rejected'] as const) {
    total[outcome] += outcomes[outcome]
    outcomes[outcome] = 0
  }
}

for (const caller of callers) caller.send('stop')
await Promise.all(callers.map((caller) => once(caller, 'exit')))
const endState = await state.circuits.breaker('service').refresh()
console.log(table.toString())
console.log(`${total.answered} calls answered, ${total.failed} failed, ${total.rejected} rejected without asking.`)
console.log(`While open, the service met at most ${mostProbes} call at a time. The circuit is ${endState}.`)

await service.close()
await state.disconnect()
await pool.end()
await database.close()
process.exitCode = endState === 'closed' && total.rejected > total.failed && mostProbes === 1 ? 0 : 1
