// One of several processes that record failures of the same service.
import { MySQLAdapter } from 'goscope-mysql'
import { createPool } from 'mysql2/promise'
import { childArgument } from '../support/child-process.js'

const { url, failures, threshold } = childArgument<{ url: string; failures: number; threshold: number }>()
const pool = createPool({ uri: url })
const state = new MySQLAdapter(pool)
await state.connect()
process.send?.('ready')
await new Promise((resolve) => process.once('message', resolve))
const counts = await Promise.all(
  Array.from({ length: failures }, () => state.recordFailure('processes', threshold, 'timeout')),
)
process.send?.(counts)
await pool.end()
process.disconnect?.()
