import { and, asc, desc, eq, gt, lt, lte, or, type SQL, sql } from 'drizzle-orm'
import { now } from '../database/clock.js'
import { type Executor, listStatement, statement } from '../database/statement.js'
import { TASK_INDEX } from '../schema/checkpoints.js'
import { checkpoints } from '../schema/index.js'

/** A stored checkpoint. */
export interface CheckpointRow {
  readonly id: string
  readonly taskId: string
  readonly sequence: number
  readonly timestamp: number
  readonly progress: number
  /** The encoded data. */
  readonly data: string
  readonly estimatedTimeRemaining: number | null
}

const ROWS_PER_PAGE = 200
const ROWS_PER_DELETION = 1_000

// What `insertId` reports when the id belongs to another task.
const OTHER_TASK = 2

const { id, taskId, sequence, timestamp, progress, data, estimatedTimeRemaining, fence } = checkpoints
const given = {
  id: sql.placeholder('id'),
  taskId: sql.placeholder('taskId'),
  sequence: sql.placeholder('sequence'),
  timestamp: sql.placeholder('timestamp'),
  progress: sql.placeholder('progress'),
  data: sql.placeholder('data'),
  estimatedTimeRemaining: sql.placeholder('estimatedTimeRemaining'),
}
const row = { id, taskId, sequence, timestamp, progress, data, estimatedTimeRemaining }

type CheckpointColumn = (typeof checkpoints)['_']['columns'][keyof (typeof checkpoints)['_']['columns']]

/** The new value, unless the id is another task's. */
const incoming = (column: CheckpointColumn): SQL => sql`if(${taskId} = values(${taskId}), values(${column}), ${column})`

/** One upsert by primary key. Whose the id is gets reported through LAST_INSERT_ID(), which the driver shows as `insertId`. */
const put = statement((database) =>
  database
    .insert(checkpoints)
    .values({ ...given, fence: sql`0`, createdAt: now })
    .onDuplicateKeyUpdate({
      set: {
        sequence: sql`if(${taskId} = values(${taskId}), values(${sequence}), ${sequence} + 0 * last_insert_id(${sql.raw(String(OTHER_TASK))}))`,
        timestamp: incoming(timestamp),
        progress: incoming(progress),
        data: incoming(data),
        estimatedTimeRemaining: incoming(estimatedTimeRemaining),
        fence: incoming(fence),
        createdAt: incoming(checkpoints.createdAt),
      },
    })
    .prepare(),
)

const find = statement((database) => database.select(row).from(checkpoints).where(eq(id, given.id)).prepare())

const isOfTask = eq(taskId, given.taskId)

/**
 * Every read of a task follows the index on (task_id, sequence, timestamp), which InnoDB ends in the primary key, so
 * rows of one sequence and timestamp come in the order of their ids. Naming the id in ORDER BY would make the
 * servers sort all rows of the task, data included: they do not count on a key that long. The hint keeps them from
 * reading the whole of a small table and sorting it, which would leave the order of such rows open.
 */
const inOrder = { forceIndex: TASK_INDEX }

const findLatest = statement((database) =>
  database
    .select(row)
    .from(checkpoints, inOrder)
    .where(isOfTask)
    .orderBy(desc(sequence), desc(timestamp))
    .limit(1)
    .prepare(),
)

const comesAfter = or(
  gt(sequence, given.sequence),
  and(
    eq(sequence, given.sequence),
    or(gt(timestamp, given.timestamp), and(eq(timestamp, given.timestamp), gt(id, given.id))),
  ),
)

/** Keyset pages in the order of the index. */
const listFirst = statement((database) =>
  database
    .select(row)
    .from(checkpoints, inOrder)
    .where(isOfTask)
    .orderBy(asc(sequence), asc(timestamp))
    .limit(ROWS_PER_PAGE)
    .prepare(),
)

const listAfter = statement((database) =>
  database
    .select(row)
    .from(checkpoints, inOrder)
    .where(and(isOfTask, sql`${sequence} >= ${given.sequence}`, comesAfter))
    .orderBy(asc(sequence), asc(timestamp))
    .limit(ROWS_PER_PAGE)
    .prepare(),
)

/** From the latest on, so that the first row is the limit below which all may go. */
const idsBeyond = statement((database) =>
  database
    .select({ id, sequence, timestamp })
    .from(checkpoints, inOrder)
    .where(isOfTask)
    .orderBy(desc(sequence), desc(timestamp))
    .limit(ROWS_PER_DELETION)
    .offset(sql.placeholder('kept'))
    .prepare(),
)

const isUpToLimit = or(lt(sequence, given.sequence), and(eq(sequence, given.sequence), lte(timestamp, given.timestamp)))

/**
 * Ids first, then deletion by primary key: deleting through the index deadlocks with concurrent saves. The limit
 * spares an id that was saved anew in between.
 */
const removeAll = listStatement((ids) => sql`delete from ${checkpoints} where ${id} in ${ids} and ${isUpToLimit}`)

/** The rows of `go_goscope_checkpoints`. Ids and task ids come in their stored form. */
export class CheckpointRepository {
  readonly #executor: Executor

  constructor(executor: Executor) {
    this.#executor = executor
  }

  /** Inserts or overwrites the row. `false` when the id belongs to another task; nothing is changed then. */
  async put(row: CheckpointRow): Promise<boolean> {
    const [{ insertId }] = await put(this.#executor, { ...row })
    return insertId !== OTHER_TASK
  }

  /** The row of this id, or `undefined`. */
  async find(id: string): Promise<CheckpointRow | undefined> {
    const [row] = await find(this.#executor, { id })
    return row
  }

  /** The task's row with the highest sequence, and of those the latest timestamp; or `undefined`. */
  async findLatest(taskId: string): Promise<CheckpointRow | undefined> {
    const [row] = await findLatest(this.#executor, { taskId })
    return row
  }

  /** The task's rows by ascending sequence, then timestamp. */
  async *list(taskId: string): AsyncGenerator<CheckpointRow, void, undefined> {
    let rows: CheckpointRow[] = await listFirst(this.#executor, { taskId })
    for (;;) {
      yield* rows
      const last = rows.at(-1)
      if (last === undefined || rows.length < ROWS_PER_PAGE) return
      rows = await listAfter(this.#executor, { ...last })
    }
  }

  /** Deletes all of the task's rows but the latest `kept`. */
  async removeBeyond(taskId: string, kept: number): Promise<void> {
    for (;;) {
      // A string, because drivers send numbers as DOUBLE, which MySQL refuses here.
      const rows = await idsBeyond(this.#executor, { taskId, kept: String(kept) })
      const [limit] = rows
      if (limit === undefined) return
      await removeAll(
        this.#executor,
        rows.map((row) => row.id),
        { sequence: limit.sequence, timestamp: limit.timestamp },
      )
      if (rows.length < ROWS_PER_DELETION) return
    }
  }
}
