import { index, mysqlTable } from 'drizzle-orm/mysql-core'
import { absent, countColumn, instantColumn, jsonColumn, keyColumn, numberColumn } from './columns.js'

/** The index in whose order the checkpoints of a task are read. */
export const TASK_INDEX = 'go_goscope_checkpoints_task'

/** One row per checkpoint of a task. */
export const checkpoints = mysqlTable(
  'go_goscope_checkpoints',
  {
    id: keyColumn('id').primaryKey(),
    taskId: keyColumn('task_id').notNull(),
    sequence: countColumn('sequence').notNull(),
    /** Milliseconds since 1970, as the caller gave them. */
    timestamp: numberColumn('timestamp').notNull(),
    progress: numberColumn('progress').notNull(),
    data: jsonColumn('data').notNull(),
    estimatedTimeRemaining: numberColumn('estimated_time_remaining').default(absent),
    /** The fencing token of the lease it was saved under, 0 without one. NULL only in rows go-go-scope wrote. */
    fence: countColumn('fence').default(absent),
    createdAt: instantColumn('created_at').notNull(),
  },
  (table) => [index(TASK_INDEX).on(table.taskId, table.sequence, table.timestamp)],
)
