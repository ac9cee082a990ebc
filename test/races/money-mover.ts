import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/mysql2'
import { LockLostError, MySQLAdapter } from 'goscope-mysql'
import { createPool, type RowDataPacket } from 'mysql2/promise'
import { childArgument } from '../support/child-process.js'
import { transferOf } from './transfers.js'

/** What this process says: that it took the task over, that the task is done, or what went wrong. */
export type MoverMessage = { readonly resumedAt: number } | { readonly done: number } | { readonly error: string }

const say = (message: MoverMessage) => process.send?.(message)

const pool = createPool({ uri: childArgument<string>(), connectionLimit: 2 })
const database = drizzle(pool)
const state = new MySQLAdapter(pool)

/** Moves money step by step, until as many steps are done as the table `plan` says. */
function move(): Promise<number> {
  const lock = { ttl: 400, wait: 120_000 }
  return state.checkpoints.run<{ step: number }, number>(
    'move money',
    { lock, keep: true, maxPerTask: 3 },
    async (task) => {
      const begin = task.resumed?.data.step ?? 0
      say({ resumedAt: begin })
      for (let step = begin; ; step++) {
        const [plan] = await pool.query<RowDataPacket[]>('select steps from plan')
        if (step >= (plan[0]?.steps ?? Number.POSITIVE_INFINITY)) return step
        const { from, to, amount } = transferOf(step)
        await database.transaction(async (tx) => {
          await tx.execute(sql`update accounts set balance = balance - ${amount} where id = ${from}`)
          await tx.execute(sql`insert into ledger (step, fence) values (${step}, ${task.lease.fence})`)
          await tx.execute(sql`update accounts set balance = balance + ${amount} where id = ${to}`)
          await task.save(50, { step: step + 1 }, { tx })
        })
      }
    },
  )
}

for (;;) {
  try {
    say({ done: await move() })
    break
  } catch (error) {
    // On a machine this busy a lease may run out; the next one to get it goes on.
    if (error instanceof LockLostError) continue
    say({ error: error instanceof Error ? `${error}, caused by ${error.cause}` : String(error) })
    break
  }
}
await state.disconnect()
await pool.end()
process.disconnect()
