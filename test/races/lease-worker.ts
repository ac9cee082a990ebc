// One of several processes whose workers raise a counter under a lease, while connections break or the server restarts.
import '../support/shifted-clock.js'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/mysql2'
import { LockLostError, MySQLAdapter, PersistenceError } from 'goscope-mysql'
import { createPool } from 'mysql2/promise'
import { childArgument } from '../support/child-process.js'

/** What a worker process is told. */
export interface LeaseWork {
  readonly url: string
  /** Milliseconds. */
  readonly duration: number
  readonly workers: number
  /** Whether the counter is raised in a transaction that asserts the lock, so that the work may be interrupted. */
  readonly guarded: boolean
}

/** What a worker process tells. */
export interface LeaseReport {
  readonly raised: number
  /** Errors that a caller could not have put right by trying again. */
  readonly unexpected: readonly string[]
}

const { url, duration, workers, guarded } = childArgument<LeaseWork>()
const pool = createPool({ uri: url, connectionLimit: workers + 4 })
const state = new MySQLAdapter(pool, { timeout: 5_000 })
const database = drizzle(pool)
const end = performance.now() + duration
let raised = 0
const unexpected: string[] = []

await Promise.all(
  Array.from({ length: workers }, async () => {
    while (performance.now() < end) {
      try {
        await state.locks.withLock('counter', { ttl: 2_000, wait: 2_000 }, async (lease) => {
          if (guarded) await database.transaction((tx) => raise(tx, lease.fence, () => lease.assertHeld(tx)))
          else await raise(database, lease.fence, async () => {})
          raised++
        })
      } catch (error) {
        if (!isTransient(error)) unexpected.push(String(error))
        await sleep(20)
      }
    }
  }),
)
process.send?.({ raised, unexpected } satisfies LeaseReport)
await pool.end().catch(() => {})
process.disconnect?.()

async function raise(on: Pick<typeof database, 'execute'>, fence: number, guard: () => Promise<void>): Promise<void> {
  await guard()
  const [rows] = await on.execute(sql`select value from counter`)
  const [{ value } = { value: Number.NaN }] = rows as unknown as { value: number }[]
  await on.execute(sql`update counter set value = ${value + 1}`)
  await on.execute(sql`insert into witness (fence) values (${fence})`)
}

/** The library's own word for it, or, for the statements of this test, a connection that broke. */
function isTransient(error: unknown): boolean {
  if (error instanceof LockLostError) return true
  if (error instanceof PersistenceError) return error.retryable
  return guarded
}
