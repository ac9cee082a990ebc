// One of several processes that call the same service. Tells its parent how each call went.
import { setTimeout as sleep } from 'node:timers/promises'
import { CircuitOpenError, MySQLAdapter } from 'goscope-mysql'
import { createPool } from 'mysql2/promise'

/** How a call went. */
export type CallOutcome = 'answered' | 'failed' | 'rejected'

const [, , databaseUrl = '', serviceUrl = ''] = process.argv
const pool = createPool({ uri: databaseUrl })
const state = new MySQLAdapter(pool, { keyPrefix: 'example:' })
const breaker = state.circuits.breaker('service', {
  failureThreshold: 5,
  resetTimeout: 400,
  resetTimeoutFactor: 2,
  maximumResetTimeout: 800,
  refreshInterval: 100,
  timeout: 1_000,
  onTransition: ({ from, to }) => process.send?.(`${from} → ${to}`),
})

const ask = async (signal: AbortSignal) => {
  const response = await fetch(serviceUrl, { signal })
  if (!response.ok) throw new Error(`status ${response.status}`)
}

let isOver = false
process.on('message', () => {
  isOver = true
})
while (!isOver) {
  let outcome: CallOutcome = 'answered'
  try {
    await breaker.execute(({ signal }) => ask(signal))
  } catch (error) {
    outcome = error instanceof CircuitOpenError ? 'rejected' : 'failed'
  }
  process.send?.(outcome)
  await sleep(30)
}
await state.disconnect()
await pool.end()
process.disconnect?.()
