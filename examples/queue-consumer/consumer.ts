// One of several processes that handle the same queue. It may be killed at any place; another one goes on.
import { setTimeout as sleep } from 'node:timers/promises'
import { MySQLIdempotencyAdapter, PersistenceError } from 'goscope-mysql'
import { createPool } from 'mysql2/promise'
import type { Outcome, Place, Report, Task } from './consumer-protocol.js'
import { ship } from './warehouse.js'

const HOUR = 3_600_000

const pool = createPool({ uri: process.argv[2] as string, connectionLimit: 4 })
const idempotency = new MySQLIdempotencyAdapter(pool, { keyPrefix: 'example:' })

/** Does what the message says, unless it has been done: effect and record are committed together. */
async function handle({ message, dieAfter }: Task): Promise<Outcome> {
  const reach = (place: Place) => {
    if (place === dieAfter) process.kill(process.pid, 'SIGKILL')
  }
  let isFirst = false
  const operation = async (tx: Parameters<typeof ship>[0]) => {
    isFirst = true
    await sleep(message.work)
    await ship(tx, message)
    reach('written')
  }
  reach('received')
  try {
    await idempotency.execute(`order:${message.id}`, operation, {
      transaction: true,
      // Longer than any message may come late.
      ttl: HOUR,
      // The claim of a killed consumer stands in the others' way for so long.
      lease: 1_000,
      // Rather than wait for another consumer, see to another message.
      wait: 0,
    })
  } catch (error) {
    if (error instanceof PersistenceError && error.retryable) return 'left'
    throw error
  }
  reach('committed')
  return isFirst ? 'shipped' : 'known'
}

const tell = (report: Report) => process.send?.(report, () => {})

process.on('message', async (task: Task) => {
  tell({ receipt: task.receipt, outcome: await handle(task) })
})
// Ctrl-C reaches the whole group of processes; when its parent ends, so does this one.
process.on('SIGINT', () => {})
process.on('disconnect', async () => {
  await idempotency.disconnect()
  await pool.end()
})
tell('listening')
