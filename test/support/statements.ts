import type { PoolConnection } from 'mysql2'
import type { Pool, RowDataPacket } from 'mysql2/promise'

/**
 * How many statements `work` sends, counted by the server. Takes the connection that the work runs on, or a
 * pool with a single one. The work must have run once before, so that its statements are prepared: preparing counts too.
 */
export async function countStatements(client: Client, work: () => Promise<unknown>): Promise<number> {
  const before = await questions(client)
  await work()
  // The question itself counts.
  return (await questions(client)) - before - 1
}

type Client = Pick<Pool, 'query'>

async function questions(client: Client): Promise<number> {
  const [rows] = await client.query({
    sql: "show session status where variable_name in ('Questions', 'Com_stmt_prepare')",
    rowsAsArray: true,
  })
  return (rows as unknown as [string, string][]).reduce((sum, [, count]) => sum + Number(count), 0)
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
    const observed = connection as unknown as { execute(...sent: unknown[]): unknown }
    const execute = observed.execute.bind(connection as unknown as PoolConnection)
    observed.execute = (...given) => {
      const [statement, values] = given as [SentStatement | string, SentStatement['values']]
      const { sql, values: own } = typeof statement === 'string' ? { sql: statement, values } : statement
      sent.push({ sql, values: [...own] })
      return execute(...given)
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
  // MariaDB explains a statement only without the variables set for it.
  const text = statement.sql.replace(/^set statement .*? for /, '')
  const [plan] = await admin.execute<(PlanStep & RowDataPacket)[]>(
    `explain format=traditional ${text}`,
    statement.values,
  )
  return plan.map(({ type, key, Extra }) => ({ type, key, Extra }))
}
