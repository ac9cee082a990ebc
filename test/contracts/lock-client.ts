// A service on a machine with a clock and a time zone of its own; does what it is told.
import '../support/shifted-clock.js'
import { MySQLAdapter } from 'goscope-mysql'
import { createPool } from 'mysql2/promise'
import { childArgument } from '../support/child-process.js'

export interface AcquireRequest {
  readonly id: number
  readonly key: string
  readonly ttl: number
}

export type ClientMessage =
  | { readonly kind: 'ready'; readonly time: number; readonly zoneOffset: number }
  | { readonly kind: 'answer'; readonly id: number; readonly granted: boolean; readonly remaining: number }

const say = (message: ClientMessage) => process.send?.(message)

// The default zone option 'local' takes the process's zone.
const pool = createPool({ uri: childArgument<string>(), timezone: 'local' })
const state = new MySQLAdapter(pool)

process.on('message', async (request: AcquireRequest | 'end') => {
  if (request === 'end') {
    await pool.end()
    process.disconnect?.()
    return
  }
  const lock = await state.acquire(request.key, request.ttl)
  say({ kind: 'answer', id: request.id, granted: lock !== null, remaining: lock?.remaining ?? 0 })
})

await state.connect()
say({ kind: 'ready', time: Date.now(), zoneOffset: new Date().getTimezoneOffset() })
