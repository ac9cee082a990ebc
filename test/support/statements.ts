import type { Pool } from 'mysql2/promise'

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
