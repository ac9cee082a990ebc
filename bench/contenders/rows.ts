import type { Pool } from 'mysql2'
import { checkpointsOf, progressData } from './load.js'

/** Inserts rows behind everybody's back, in few statements, and replaces those that are there. */
export async function insertRows(
  pool: Pool,
  table: string,
  columns: readonly string[],
  rows: readonly (readonly unknown[])[],
): Promise<void> {
  const names = columns.map((column) => `\`${column}\``).join(', ')
  for (let start = 0; start < rows.length; start += 1_000) {
    await pool.promise().query(`replace into ${table} (${names}) values ?`, [rows.slice(start, start + 1_000)])
  }
}

/** Gives each task its checkpoints in `go_goscope_checkpoints`, whose ids and task ids may begin with a kind. */
export function fillCheckpoints(
  pool: Pool,
  tasks: readonly string[],
  kinds = { checkpoint: '', task: '' },
): Promise<void> {
  const json = JSON.stringify(progressData)
  const rows = tasks.flatMap((task) =>
    checkpointsOf(task).map(({ id, sequence }) => [
      kinds.checkpoint + id,
      kinds.task + task,
      sequence,
      sequence,
      50,
      json,
      new Date(),
    ]),
  )
  const columns = ['id', 'task_id', 'sequence', 'timestamp', 'progress', 'data', 'created_at']
  return insertRows(pool, 'go_goscope_checkpoints', columns, rows)
}
