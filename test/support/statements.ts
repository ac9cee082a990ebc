import type { PoolConnection } from 'mysql2'
import type { Pool, RowDataPacket } from 'mysql2/promise'

/**
 * How many statements `work` sends, counted by the server. The pool must have a single connection,
 * and the work must have run once before, so that its statements are prepared.
 */
export async function countStatements(pool: Pool, work: () => Promise<unknown>): Promise<number> {
  const before = await questions(pool)
  await work()
  // The question itself counts.
  return (await questions(pool)) - before - 1
}

async function questions(pool: Pool): Promise<number> {
  const [rows] = await pool.query({ sql: "show session status like 'Questions'", rowsAsArray: true })
  return Number((rows as unknown as [string, string][])[0]?.[1])
}

/** A statement as it was sent. */
export interface SentStatement {
  readonly sql: string
  readonly values: (string | number | null)[]
}

/** Lists, from now on, the prepared statements that new connections of the pool execute. */
export function recordStatements(pool: Pool): SentStatement[] {
  const sent: SentStatement[] = []
  pool.on('connection', (connection) => {
    const observed = connection as unknown as { execute(options: SentStatement, done: unknown): unknown }
    const execute = observed.execute.bind(connection as unknown as PoolConnection)
    observed.execute = (options, done) => {
      sent.push({ sql: options.sql, values: [...options.values] })
      return execute(options, done)
    }
  })
  return sent
}

/** One line of a plan. */
export interface PlanStep {
  readonly type: string
  readonly key: string | null
  readonly Extra: string | null
}

/** How the server would carry out a statement that was sent. */
export async function explain(admin: Pool, statement: SentStatement | undefined): Promise<PlanStep[]> {
  if (statement === undefined) throw new Error('expected a recorded statement, got none')
  const [plan] = await admin.execute<(PlanStep & RowDataPacket)[]>(
    `explain format=traditional ${statement.sql}`,
    statement.values,
  )
  return plan.map(({ type, key, Extra }) => ({ type, key, Extra }))
}
