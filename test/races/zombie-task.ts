import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/mysql2'
import { MySQLAdapter } from 'goscope-mysql'
import { createPool } from 'mysql2/promise'
import { childArgument } from '../support/child-process.js'

/** What this process says: that it is about to stop, and how its attempts ended after it was continued. */
export type ZombieMessage = 'stopping' | { readonly attempts: Readonly<Record<string, string>> }

const { url, isInTransaction } = childArgument<{ url: string; isInTransaction: boolean }>()
const pool = createPool({ uri: url, connectionLimit: 3 })
const database = drizzle(pool)
const state = new MySQLAdapter(pool)
const attempts: Record<string, string> = {}

async function attempt(name: string, work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => {
      attempts[name] = 'succeeded'
    },
    (error: Error) => {
      attempts[name] = error.name
      return error
    },
  )
}

/** Does not return before somebody continues this process. */
async function stop(): Promise<void> {
  await new Promise((sent) => process.send?.('stopping', sent))
  process.kill(process.pid, 'SIGSTOP')
}

const run = state.checkpoints.run<string, void>('report', { lock: { ttl: 300 }, keep: true }, async (task) => {
  const write = (what: string) => sql`insert into ledger (what) values (${what})`
  await database.transaction(async (tx) => {
    await tx.execute(write('zombie, in time'))
    await task.save(10, 'of the zombie', { tx })
  })
  if (!isInTransaction) await stop()
  const late = database.transaction(async (tx) => {
    await tx.execute(write('zombie, too late'))
    if (isInTransaction) await stop()
    await task.save(99, 'too late', { tx })
  })
  const failure = await attempt('commit', late)
  await attempt('save', task.save(99, 'too late'))
  const guarded = database.transaction(async (tx) => {
    await tx.execute(write('zombie, too late'))
    await task.lease.assertHeld(tx)
  })
  await attempt('assertHeld', guarded)
  throw failure
})
await attempt('run', run)
process.send?.({ attempts })
await state.disconnect()
await pool.end()
process.disconnect()
