import { setTimeout as sleep } from 'node:timers/promises'
import type { Codec } from '../../codec/codec.js'
import type { Checkpoint, CheckpointProvider } from '../../contracts.js'
import { ConnectionClient, type PoolClient } from '../../database/client.js'
import type { Operations } from '../../database/operations.js'
import { Executor } from '../../database/statement.js'
import { runIn } from '../../database/transaction.js'
import { InvalidArgumentError, LockLostError } from '../../errors.js'
import { assertStorable, KeySpace, MAXIMUM_KEY_LENGTH, rangeOf } from '../../keys.js'
import { assertCount, assertMilliseconds, refuseUnknown } from '../../options.js'
import type { CheckpointRepository, CheckpointRow, TaskRow } from '../../repositories/checkpoint-repository.js'
import type { Lease } from '../locks/lock-lease.js'
import type { Locks } from '../locks/lock-provider.js'
import { readPages } from '../paging.js'
import { CheckpointMapping, type TaskProgress } from './checkpoint-mapping.js'
import type { RunOptions, SaveOptions } from './checkpoint-options.js'
import { runTask, type Task } from './checkpoint-task.js'

/** What {@link Checkpoints} works with. */
export interface CheckpointContext {
  readonly client: PoolClient
  readonly repository: CheckpointRepository
  readonly operations: Operations
  readonly codec: Codec
  /** Milliseconds to wait for the answer to a statement inside a caller's transaction. */
  readonly timeout: number
  /** The locks of tasks, apart from the user's own. */
  readonly taskLocks: Locks
}

/** The progress of tasks over the rows of `go_goscope_checkpoints`. */
export class Checkpoints implements CheckpointProvider {
  readonly #context: CheckpointContext
  readonly #ids: KeySpace
  readonly #tasks: KeySpace
  readonly #mapping: CheckpointMapping

  /** @internal */
  constructor(context: CheckpointContext, keyPrefix: string) {
    this.#context = context
    this.#ids = new KeySpace(keyPrefix, 'checkpoint')
    this.#tasks = new KeySpace(keyPrefix, 'task')
    this.#mapping = new CheckpointMapping(context.codec, this.#ids, this.#tasks)
  }

  /**
   * Stores a checkpoint, replacing every field of the one with the same id. One statement.
   *
   * @throws {@link InvalidArgumentError} also when the id already belongs to another task; nothing is changed then.
   * @throws {@link LockLostError} when `lease` is not held any more; nothing is changed then.
   * @throws {@link SerializationError} | {@link ContentionError} | {@link UnavailableError}
   * @example
   * ```ts
   * await database.transaction(async (tx) => {
   *   await tx.insert(payments).values(batch)
   *   await state.checkpoints.save(checkpoint, { tx, lease })
   * })
   * ```
   */
  async save<T>(checkpoint: Checkpoint<T>, options: SaveOptions = {}): Promise<void> {
    refuseUnknown('options', options, ['tx', 'lease', 'maxPerTask'])
    const { tx, lease, maxPerTask } = options
    if (maxPerTask !== undefined) assertPositiveCount('options.maxPerTask', maxPerTask)
    const row = this.#mapping.toRow(checkpoint)
    const { repository, operations, timeout } = this.#context
    const save = async (executor?: Executor) => {
      const putting = await repository.put(row, lease?.tenure, executor)
      if (putting === 'stored' && maxPerTask !== undefined) {
        await repository.removeBeyond(row.taskId, maxPerTask, executor)
      }
      return putting
    }
    const putting = await (tx === undefined ? operations.run('save', save) : runIn(tx, timeout, 'save', save))
    if (putting === 'other task') {
      throw new InvalidArgumentError('expected an id of this task, got one that belongs to another task', {
        operation: 'save',
      })
    }
    if (putting === 'lock lost') {
      const reason = lease !== undefined && lease.remaining > 0 ? 'stolen' : 'expired'
      throw new LockLostError(reason, 'the lock is not held any more: stop, another process may have taken over', {
        operation: 'save',
      })
    }
  }

  /**
   * The checkpoint of this id, or `undefined` when there is none.
   *
   * @throws {@link InvalidArgumentError} | {@link SerializationError} | {@link UnavailableError}
   */
  async load<T>(checkpointId: string): Promise<Checkpoint<T> | undefined> {
    const id = this.#ids.toStored(checkpointId)
    const row = await this.#context.operations.run('load', () => this.#context.repository.find(id))
    return row && this.#mapping.toCheckpoint<T>(row)
  }

  /**
   * The task's checkpoint with the highest sequence, and of those the one with the latest timestamp;
   * `undefined` when it has none.
   *
   * @throws {@link InvalidArgumentError} | {@link SerializationError} | {@link UnavailableError}
   */
  async loadLatest<T>(taskId: string): Promise<Checkpoint<T> | undefined> {
    const task = this.#tasks.toStored(taskId)
    const row = await this.#context.operations.run('loadLatest', () => this.#context.repository.findLatest(task))
    return row && this.#mapping.toCheckpoint<T>(row)
  }

  /**
   * All checkpoints of the task by ascending sequence, then timestamp. See {@link iterate} for more than fit into memory.
   *
   * @throws {@link InvalidArgumentError} | {@link SerializationError} | {@link UnavailableError}
   */
  async list(taskId: string): Promise<Checkpoint<unknown>[]> {
    const found: Checkpoint<unknown>[] = []
    for await (const checkpoint of this.#read('list', taskId)) found.push(checkpoint)
    return found
  }

  /**
   * The task's checkpoints by ascending sequence, then timestamp, read in pages. Holds no connection between them.
   *
   * @throws {@link InvalidArgumentError} | {@link SerializationError} | {@link UnavailableError}
   */
  iterate<T>(taskId: string): AsyncGenerator<Checkpoint<T>, void, undefined> {
    return this.#read('iterate', taskId)
  }

  /**
   * Deletes all but the `keepCount` latest checkpoints of the task.
   *
   * @param keepCount - A whole number, 0 or more.
   * @throws {@link InvalidArgumentError} | {@link ContentionError} | {@link UnavailableError}
   */
  async cleanup(taskId: string, keepCount: number): Promise<void> {
    const task = this.#tasks.toStored(taskId)
    assertCount('keepCount', keepCount)
    await this.#context.operations.run('cleanup', () => this.#context.repository.removeBeyond(task, keepCount))
  }

  /**
   * Deletes the task's checkpoints that were saved more than `age` milliseconds ago by the database's clock, but never
   * the one to resume from.
   *
   * @throws {@link InvalidArgumentError} | {@link ContentionError} | {@link UnavailableError}
   */
  async cleanupOlderThan(taskId: string, age: number): Promise<void> {
    const task = this.#tasks.toStored(taskId)
    assertMilliseconds('age', age)
    await this.#context.operations.run('cleanupOlderThan', () => this.#context.repository.removeOlder(task, age))
  }

  /**
   * Deletes all checkpoints of the task. Harmless when it has none.
   *
   * @throws {@link InvalidArgumentError} | {@link ContentionError} | {@link UnavailableError}
   */
  async deleteAll(taskId: string): Promise<void> {
    const task = this.#tasks.toStored(taskId)
    await this.#context.operations.run('deleteAll', () => this.#context.repository.removeBeyond(task, 0))
  }

  /**
   * The tasks that have checkpoints, by ascending id, each with its latest progress.
   *
   * @param options - `prefix`: only tasks whose ids begin with it.
   * @throws {@link InvalidArgumentError} | {@link UnavailableError}
   */
  async tasks({ prefix = '' }: { prefix?: string } = {}): Promise<TaskProgress[]> {
    assertStorable('options.prefix', prefix, MAXIMUM_KEY_LENGTH)
    const range = rangeOf(this.#tasks.start + prefix)
    const { operations, repository } = this.#context
    const found: TaskProgress[] = []
    const rows = readPages(operations, 'tasks', (from?: string) => repository.listTasks(range, from))
    for await (const row of rows) found.push(this.#mapping.toProgress(row))
    // The range of a prefix that ends in a space may hold an id without it.
    return found.filter(({ taskId }) => taskId.startsWith(prefix))
  }

  /**
   * The task's progress as it is saved, whichever process saves it; for a progress bar, say. Ends when the task's
   * checkpoints have been deleted, as `run` does after success.
   *
   * @param options - `every`: milliseconds between two looks, 1,000 by default. `signal`: ends the watching.
   * @throws {@link InvalidArgumentError} | {@link UnavailableError}, and the signal's reason.
   */
  async *watch(
    taskId: string,
    { every = 1_000, signal }: { every?: number; signal?: AbortSignal } = {},
  ): AsyncGenerator<TaskProgress, void, undefined> {
    const task = this.#tasks.toStored(taskId)
    assertMilliseconds('options.every', every)
    let seen: TaskRow | undefined
    for (;;) {
      signal?.throwIfAborted()
      const row = await this.#context.operations.run('watch', () => this.#context.repository.findProgress(task))
      if (row === undefined && seen !== undefined) return
      if (row !== undefined && (row.sequence !== seen?.sequence || row.timestamp !== seen.timestamp)) {
        seen = row
        yield this.#mapping.toProgress(row)
      }
      await sleep(every, undefined, signal === undefined ? {} : { signal }).catch((error: unknown) => {
        signal?.throwIfAborted()
        throw error
      })
    }
  }

  /**
   * Runs a task that can be resumed: takes the task's lease, hands the worker the latest checkpoint, and saves what the
   * worker reports, each time only while the lease is held. After a crash the next call resumes from the last save.
   *
   * On success the checkpoints are deleted, and a runner that was waiting for the lease begins the task anew; set `keep`
   * where several processes stand by, and let the worker find its task done. When the worker throws, they stay.
   *
   * @throws {@link ContentionError} when another process ran the task for all of `lock.wait`.
   * @throws {@link LockLostError} when the lease was lost: another process may be at work.
   * @throws {@link InvalidArgumentError} | {@link UnavailableError}, and whatever `worker` throws.
   * @example
   * ```ts
   * await state.checkpoints.run<Position, void>('import', { lock: { ttl: 30_000 } }, async (task) => {
   *   for (let row = task.resumed?.data.row ?? 0; row < rows.length; row += 100) {
   *     await database.transaction(async (tx) => {
   *       await tx.insert(flights).values(rows.slice(row, row + 100))
   *       await task.save((100 * row) / rows.length, { row: row + 100 }, { tx })
   *     })
   *   }
   * })
   * ```
   */
  async run<T, Result>(
    taskId: string,
    options: RunOptions,
    worker: (task: Task<T>) => Promise<Result>,
  ): Promise<Result> {
    const task = this.#tasks.toStored(taskId)
    return runTask(taskId, options, worker, {
      checkpoints: this,
      locks: this.#context.taskLocks,
      deleteUnder: (lease) => this.#deleteUnder(lease, task),
    })
  }

  /** All or nothing, and only while nobody can take the lease over: a successor resumes from what it would delete. */
  #deleteUnder(lease: Lease, task: string): Promise<void> {
    const { client, operations, repository, timeout } = this.#context
    const work = () =>
      client.transact(async (connection) => {
        await lease.assertHeld(connection)
        await repository.removeBeyond(task, 0, new Executor(new ConnectionClient(connection, timeout)))
      })
    return operations.run('run', work)
  }

  async *#read<T>(operation: string, taskId: string): AsyncGenerator<Checkpoint<T>, void, undefined> {
    const { operations, repository } = this.#context
    const task = this.#tasks.toStored(taskId)
    const rows = readPages(operations, operation, (after?: CheckpointRow) => repository.list(task, after))
    for await (const row of rows) yield this.#mapping.toCheckpoint<T>(row)
  }
}

function assertPositiveCount(name: string, value: number): void {
  assertCount(name, value)
  if (value === 0) throw new InvalidArgumentError(`${name}: expected 1 or more, got 0`)
}
