// A holder that is frozen by its parent: before its guarded transaction, or in it.
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/mysql2'
import { MySQLAdapter, PersistenceError } from 'goscope-mysql'
import { createPool } from 'mysql2/promise'
import { childArgument } from '../support/child-process.js'

const { url, inTransaction = false } = childArgument<{ url: string; inTransaction?: boolean }>()
const pool = createPool({ uri: url })
const state = new MySQLAdapter(pool)
const lock = await state.acquire('frozen', 500)
if (lock === null) throw new Error('expected the lock to be granted')

if (inTransaction) {
  await drizzle(pool).transaction(async (tx) => {
    await lock.assertHeld(tx)
    process.send?.('in transaction')
    await sleep(1_500)
  })
} else {
  process.send?.('holding')
  // Time for the parent to freeze this process; the lock expires meanwhile.
  await sleep(600)
  const outcome = await drizzle(pool)
    .transaction(async (tx) => {
      await lock.assertHeld(tx)
      await tx.execute(sql`insert into witness (fence) values (${lock.fence})`)
      return 'committed'
    })
    .catch((error: unknown) => `refused: ${error instanceof PersistenceError ? error.code : String(error)}`)
  process.send?.(outcome)
}
await pool.end()
process.disconnect?.()
