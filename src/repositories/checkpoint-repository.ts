import { and, asc, desc, eq, gt, lt, lte, or, type SQL, sql } from 'drizzle-orm'
import { now } from '../database/clock.js'
import { decision } from '../database/dialect.js'
import { atMost, command, type Executor, listStatement, statement } from '../database/statement.js'
import type { KeyRange } from '../keys.js'
import { TASK_INDEX } from '../schema/checkpoints.js'
import { checkpoints, locks } from '../schema/index.js'
import { isHeldBy, type Tenure } from './lock-repository.js'
import { type Page, pageOf } from './page.js'

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

/** What became of a row: stored, refused because its id belongs to another task, or because the lock was lost. */
export type Putting = 'stored' | 'other task' | 'lock lost'

/** The latest row of a task, without its data. */
export interface TaskRow {
  readonly taskId: string
  readonly sequence: number
  readonly timestamp: number
  readonly progress: number
  readonly estimatedTimeRemaining: number | null
}

// What `insertId` reports.
const STORED = 1
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
  from: sql.placeholder('from'),
  to: sql.placeholder('to'),
  age: sql.placeholder('age'),
}
const row = { id, taskId, sequence, timestamp, progress, data, estimatedTimeRemaining }
const progressOfRow = { taskId, sequence, timestamp, progress, estimatedTimeRemaining }

type CheckpointColumn = (typeof checkpoints)['_']['columns'][keyof (typeof checkpoints)['_']['columns']]

/** The new value, unless the id is another task's. */
const incoming = (column: CheckpointColumn): SQL => sql`if(${taskId} = values(${taskId}), values(${column}), ${column})`

// The first assignment finds out whose the id is; LAST_INSERT_ID() reports it, which the driver shows as `insertId`.
const assignments = {
  sequence: sql`if(${taskId} = values(${taskId}), values(${sequence}), ${sequence} + 0 * last_insert_id(${sql.raw(String(OTHER_TASK))}))`,
  timestamp: incoming(timestamp),
  progress: incoming(progress),
  data: incoming(data),
  estimatedTimeRemaining: incoming(estimatedTimeRemaining),
  fence: incoming(fence),
  createdAt: incoming(checkpoints.createdAt),
}

/** One upsert by primary key, which cannot deadlock and sends the data once. */
const put = statement((database) =>
  database
    .insert(checkpoints)
    .values({
      id: given.id,
      taskId: given.taskId,
      sequence: given.sequence,
      timestamp: given.timestamp,
      progress: given.progress,
      data: given.data,
      estimatedTimeRemaining: given.estimatedTimeRemaining,
      fence: sql`0`,
      createdAt: now,
    })
    .onDuplicateKeyUpdate({ set: assignments })
    .prepare(),
)

/**
 * The same, only while a lock is held, whose row stays locked until the statement ends: nobody can take the lock over
 * between the check and the write, so no row with a smaller token follows one with a larger.
 * Reports 0 when the lock is lost.
 */
const underLock: Parameters<typeof decision.insertWhile> = [
  checkpoints,
  sql`id, task_id, sequence, timestamp, progress, data, estimated_time_remaining, fence, created_at`,
  sql`${given.id}, ${given.taskId}, ${given.sequence}, ${given.timestamp}, ${given.progress}, ${given.data},
    ${given.estimatedTimeRemaining}, ${locks.fence} + 0 * last_insert_id(${sql.raw(String(STORED))}), ${now}`,
  locks,
  isHeldBy,
  sql.join(
    Object.entries(assignments).map(([name, value]) => {
      const column = sql.identifier(checkpoints[name as keyof typeof assignments].name)
      return sql`${column} = ${value}`
    }),
    sql`, `,
  ),
]
const putUnderLock = command(decision.insertWhile(...underLock))
const putUnderLockInTransaction = command(decision.insertWhileWaiting(...underLock))

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
    .limit(atMost(1))
    .prepare(),
)

const findProgress = statement((database) =>
  database
    .select(progressOfRow)
    .from(checkpoints, inOrder)
    .where(isOfTask)
    .orderBy(desc(sequence), desc(timestamp))
    .limit(atMost(1))
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
    .limit(atMost(ROWS_PER_PAGE))
    .prepare(),
)

const listAfter = statement((database) =>
  database
    .select(row)
    .from(checkpoints, inOrder)
    .where(and(isOfTask, sql`${sequence} >= ${given.sequence}`, comesAfter))
    .orderBy(asc(sequence), asc(timestamp))
    .limit(atMost(ROWS_PER_PAGE))
    .prepare(),
)

/** From the latest on, so that the first row is the limit below which all may go. */
const idsBeyond = statement((database) =>
  database
    .select({ id, sequence, timestamp })
    .from(checkpoints, inOrder)
    .where(isOfTask)
    .orderBy(desc(sequence), desc(timestamp))
    .limit(atMost(ROWS_PER_DELETION))
    .offset(sql.placeholder('kept'))
    .prepare(),
)

const isOld = sql`${checkpoints.createdAt} < ${now} - interval ${given.age} * 1000 microsecond`

const idsOlder = statement((database) =>
  database
    .select({ id })
    .from(checkpoints)
    .where(and(isOfTask, isOld, sql`${sequence} < (select max(${sequence}) from ${checkpoints} where ${isOfTask})`))
    .limit(atMost(ROWS_PER_DELETION))
    .prepare(),
)

/** The latest sequences come from a loose scan of the index, which skips from task to task. */
const latestOfTasks = statement((database) => {
  const latest = database
    .select({
      taskId: sql<string>`${taskId}`.as('latest_task_id'),
      sequence: sql<number>`max(${sequence})`.as('latest_sequence'),
    })
    .from(checkpoints)
    .where(and(gt(taskId, given.from), lte(taskId, given.to)))
    .groupBy(taskId)
    .orderBy(asc(taskId))
    .limit(atMost(ROWS_PER_PAGE))
    .as('latest')
  return database
    .select(progressOfRow)
    .from(checkpoints)
    .innerJoin(latest, and(eq(taskId, latest.taskId), eq(sequence, latest.sequence)))
    .orderBy(asc(taskId), asc(timestamp), asc(id))
    .prepare()
})

const isUpToLimit = or(lt(sequence, given.sequence), and(eq(sequence, given.sequence), lte(timestamp, given.timestamp)))

/**
 * Ids first, then deletion by primary key: deleting through the index deadlocks with concurrent saves. The condition
 * spares an id that was saved anew in between.
 */
const removeWhere = (condition: SQL | undefined) =>
  listStatement((ids) => sql`delete from ${checkpoints} where ${id} in ${ids} and ${condition}`)
const removeUpToLimit = removeWhere(isUpToLimit)
const removeOld = removeWhere(isOld)

/** The rows of `go_goscope_checkpoints`. Ids and task ids come in their stored form. */
export class CheckpointRepository {
  readonly #executor: Executor

  constructor(executor: Executor) {
    this.#executor = executor
  }

  /**
   * Inserts or overwrites the row, unless its id belongs to another task.
   *
   * @param tenure - Do so only while this lock is held, and note its token.
   * @param executor - That of the caller's transaction, if there is one.
   */
  async put(row: CheckpointRow, tenure?: Tenure, executor?: Executor): Promise<Putting> {
    if (tenure === undefined) {
      const [{ insertId }] = await put(executor ?? this.#executor, { ...row })
      return insertId === OTHER_TASK ? 'other task' : 'stored'
    }
    const values = { ...row, key: tenure.key, owner: tenure.owner, heldFence: tenure.fence }
    const { insertId } = await (executor === undefined
      ? putUnderLock(this.#executor, values)
      : putUnderLockInTransaction(executor, values))
    return insertId === OTHER_TASK ? 'other task' : insertId === STORED ? 'stored' : 'lock lost'
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

  /** The task's latest row without its data, or `undefined`. */
  async findProgress(taskId: string): Promise<TaskRow | undefined> {
    const [row] = await findProgress(this.#executor, { taskId })
    return row
  }

  /** The task's rows by ascending sequence, then timestamp. */
  async list(taskId: string, after?: CheckpointRow): Promise<Page<CheckpointRow, CheckpointRow>> {
    const rows = await (after === undefined
      ? listFirst(this.#executor, { taskId })
      : listAfter(this.#executor, { ...after }))
    return pageOf(rows, ROWS_PER_PAGE, (last) => last)
  }

  /**
   * Deletes all of the task's rows but the latest `kept`.
   *
   * @param executor - That of the caller's transaction, if there is one.
   */
  async removeBeyond(taskId: string, kept: number, executor: Executor = this.#executor): Promise<void> {
    for (;;) {
      // A string, because drivers send numbers as DOUBLE, which MySQL refuses here.
      const rows = await idsBeyond(executor, { taskId, kept: String(kept) })
      const [limit] = rows
      if (limit === undefined) return
      await removeUpToLimit(executor, idsOf(rows), { sequence: limit.sequence, timestamp: limit.timestamp })
      if (rows.length < ROWS_PER_DELETION) return
    }
  }

  /** Deletes the task's rows that were saved longer than `age` ago, but for the latest row. */
  async removeOlder(taskId: string, age: number): Promise<void> {
    const find = () => idsOlder(this.#executor, { taskId, age })
    await inBatches(find, (ids) => removeOld(this.#executor, ids, { age }))
  }

  /** The latest row of each task in a range of ids, in the order of the index. */
  async listTasks(range: KeyRange, from = range.from): Promise<Page<TaskRow, string>> {
    const found = await latestOfTasks(this.#executor, { to: range.to, from })
    // Rows of the same task and sequence come by ascending timestamp; the last one counts.
    const rows = found.filter((row, index) => found[index + 1]?.taskId !== row.taskId)
    return pageOf(rows, ROWS_PER_PAGE, ({ taskId }) => taskId)
  }
}

async function inBatches(find: () => Promise<{ id: string }[]>, remove: (ids: string[]) => Promise<unknown>) {
  for (;;) {
    const ids = idsOf(await find())
    if (ids.length > 0) await remove(ids)
    if (ids.length < ROWS_PER_DELETION) return
  }
}

function idsOf(rows: readonly { id: string }[]): string[] {
  return rows.map((row) => row.id)
}
