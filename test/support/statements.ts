import type { Pool } from 'mysql2/promise'

/**
 * How many statements `work` sends, counted by the server. The pool must have a single connection,
 * and the work must have run once before, so that its statements are prepared: preparing counts too.
 */
export async function countStatements(pool: Pool, work: () => Promise<unknown>): Promise<number> {
  const before = await questions(pool)
  await work()
  // The question itself counts.
  return (await questions(pool)) - before - 1
}

async function questions(pool: Pool): Promise<number> {
  const [rows] = await pool.query({
    sql: "show session status where variable_name in ('Questions', 'Com_stmt_prepare')",
    rowsAsArray: true,
  })
  return (rows as unknown as [string, string][]).reduce((sum, [, count]) => sum + Number(count), 0)
}
