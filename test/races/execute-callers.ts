// One of several processes whose callers all execute the same operations, any of which may be killed at any time.
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { LockLostError, MySQLIdempotencyAdapter } from 'goscope-mysql'
import { createPool } from 'mysql2/promise'
import { childArgument } from '../support/child-process.js'

/** What a process is told: to execute an operation. */
export interface Round {
  readonly round: number
  readonly operation: 'transfer' | 'charge'
}

/** How the operation's runner is known: which tenure it ran under, in which process. */
export interface Receipt {
  readonly fence: number
  readonly process: number
}

/** What the callers of one process got in a round. */
export interface RoundReport {
  readonly round: number
  readonly receipts: readonly Receipt[]
  /** Errors that a caller could not have put right by trying again. */
  readonly unexpected: readonly string[]
}

/** What a process says: that it listens, that it runs the operation of a round, or what its callers got. */
export type CallerMessage = 'ready' | { readonly running: number } | RoundReport

const { url, callers } = childArgument<{ url: string; callers: number }>()
const pool = createPool({ uri: url, connectionLimit: 6 })
const idempotency = new MySQLIdempotencyAdapter(pool)
const options = { lease: 1_000, wait: 30_000 }
const say = (message: CallerMessage) => process.send?.(message)
const operations = { transfer, charge }

process.on('message', async (told: Round) => {
  const outcomes = await Promise.allSettled(Array.from({ length: callers }, () => untilSettled(told)))
  say({
    round: told.round,
    receipts: outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : [])),
    unexpected: outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [String(outcome.reason)] : [])),
  })
})
say('ready')

/** Leaves a pair of rows, together with the record of its outcome. */
function transfer(round: number): Promise<Receipt> {
  return idempotency.execute(
    `${round}`,
    async (tx, { fence }) => {
      const write = (part: string) =>
        tx.execute(
          sql`insert into effect (round, part, fence, process) values (${round}, ${part}, ${fence}, ${process.pid})`,
        )
      await write('debit')
      say({ running: round })
      await sleep(50 + Math.random() * 100)
      await write('credit')
      return { fence, process: process.pid }
    },
    { ...options, transaction: true },
  )
}

/** Leaves a row for each run, at its beginning. */
function charge(round: number): Promise<Receipt> {
  return idempotency.execute(
    `${round}`,
    async ({ fence }) => {
      await pool.execute('insert into run (round, fence, process) values (?, ?, ?)', [round, fence, process.pid])
      say({ running: round })
      await sleep(50 + Math.random() * 100)
      return { fence, process: process.pid }
    },
    options,
  )
}

/** On a machine this busy a lease may run out; a caller who hears of it asks again. */
async function untilSettled({ round, operation }: Round): Promise<Receipt> {
  for (;;) {
    try {
      return await operations[operation](round)
    } catch (error) {
      if (!(error instanceof LockLostError)) throw error
      await pool.execute('insert into lost (round, process) values (?, ?)', [round, process.pid])
    }
  }
}
