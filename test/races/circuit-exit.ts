// A process that has used breakers and subscriptions, and comes to its end.
import { setTimeout as sleep } from 'node:timers/promises'
import { type CircuitBreakerOptions, MySQLAdapter } from 'goscope-mysql'
import { createPool } from 'mysql2/promise'
import { childArgument } from '../support/child-process.js'

/** How the process is to end. */
export interface Exit {
  readonly url: string
  readonly keyPrefix: string
  readonly disconnects: boolean
}

const { url, keyPrefix, disconnects } = childArgument<Exit>()
const pool = createPool({ uri: url })
const state = new MySQLAdapter(pool, { keyPrefix, pollInterval: 50 })

const fail = async (key: string, times: number, options: CircuitBreakerOptions) => {
  const breaker = state.circuits.breaker(key, options)
  for (let call = 0; call < times; call++) {
    await breaker.execute(() => Promise.reject(new Error('down'))).catch(() => {})
  }
  return breaker
}

const unsubscribe = state.subscribe('subscribed', () => {})
unsubscribe()
state.subscribe('subscribed', () => {})
const probed = await fail('probed', 1, { failureThreshold: 1, resetTimeout: 20, probeTtl: 60_000 })
await probed.refresh()
await sleep(50)
// A probe and a call that never end.
void probed.execute(() => new Promise(() => {}))
void state.circuits.breaker('endless').execute(() => new Promise(() => {}))
await (await fail('open', 1, { failureThreshold: 1 })).refresh()
await sleep(100)
await fail('streak', 7, { failureThreshold: 100, refreshInterval: 60_000 })
await fail('window', 9, { failureRateThreshold: 50, refreshInterval: 60_000 })
// Whatever is under way, the process ends no later than this.
process.send?.('ending')
if (disconnects) await state.disconnect()
await pool.end()
process.disconnect?.()
