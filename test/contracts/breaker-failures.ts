// Another process whose calls fail; says what it then makes of the circuit.
import { type CircuitBreakerOptions, MySQLAdapter } from 'goscope-mysql'
import { createPool } from 'mysql2/promise'
import { childArgument } from '../support/child-process.js'

const { url, key, options } = childArgument<{ url: string; key: string; options: CircuitBreakerOptions }>()
const pool = createPool({ uri: url })
const state = new MySQLAdapter(pool)
const breaker = state.circuits.breaker(key, options)
await breaker.execute(() => Promise.reject(new Error('down here too'))).catch(() => {})
process.send?.(await breaker.refresh())
await state.disconnect()
await pool.end()
process.disconnect?.()
