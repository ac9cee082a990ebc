import type { Checkpoint } from '../../contracts.js'
import type { Transaction } from '../../database/transaction.js'
import { LockLostError } from '../../errors.js'
import { assertMilliseconds, refuseUnknown } from '../../options.js'
import { follow } from '../abort-listener.js'
import type { Lease } from '../locks/lock-lease.js'
import type { Locks } from '../locks/lock-provider.js'
import type { RunOptions, SaveOptions } from './checkpoint-options.js'

/** Where a task's checkpoints are kept. */
export interface CheckpointStore {
  save<T>(checkpoint: Checkpoint<T>, options: SaveOptions): Promise<void>
  loadLatest<T>(taskId: string): Promise<Checkpoint<T> | undefined>
}

/** What {@link runTask} works with. */
export interface TaskContext {
  readonly checkpoints: CheckpointStore
  readonly locks: Locks
  /** Deletes the task's checkpoints, if the lease is still held. */
  readonly deleteUnder: (lease: Lease) => Promise<void>
}

/** A running task, as its worker sees it. */
export class Task<T> {
  /** The checkpoint to resume from; `undefined` when the task begins. */
  readonly resumed: Checkpoint<T> | undefined
  /** The lease under which the task runs. */
  readonly lease: Lease
  /** Aborts when the lease is lost, or when the caller's signal does while the task runs. */
  readonly signal: AbortSignal
  readonly #taskId: string
  readonly #options: RunOptions
  readonly #checkpoints: CheckpointStore
  readonly #begin = performance.now()
  #sequence: number
  #saved: number
  #unsaved: { progress: number; data: T } | undefined

  /** @internal */
  constructor(
    taskId: string,
    resumed: Checkpoint<T> | undefined,
    lease: Lease,
    signal: AbortSignal,
    options: RunOptions,
    checkpoints: CheckpointStore,
  ) {
    this.#taskId = taskId
    this.resumed = resumed
    this.lease = lease
    this.signal = signal
    this.#options = options
    this.#checkpoints = checkpoints
    this.#sequence = resumed?.sequence ?? 0
    this.#saved = this.#begin
  }

  /**
   * Saves a checkpoint now.
   *
   * @param progress - In per cent: the remaining time is estimated from it.
   * @param options - `tx`: the caller's open transaction, to commit the checkpoint with the work.
   * @throws {@link LockLostError} when the lease was lost: stop, and roll the transaction back.
   * @throws {@link SerializationError} | {@link ContentionError} | {@link UnavailableError}
   */
  async save(progress: number, data: T, { tx }: { tx?: Transaction } = {}): Promise<void> {
    this.#unsaved = undefined
    this.#saved = performance.now()
    const sequence = ++this.#sequence
    const estimatedTimeRemaining = this.#estimate(progress)
    const checkpoint: Checkpoint<T> = {
      id: `${this.#taskId}:${sequence}`,
      taskId: this.#taskId,
      sequence,
      timestamp: Date.now(),
      progress,
      data,
      ...(estimatedTimeRemaining !== undefined && { estimatedTimeRemaining }),
    }
    const { maxPerTask, onProgress } = this.#options
    await this.#checkpoints.save(checkpoint, {
      lease: this.lease,
      ...(tx !== undefined && { tx }),
      ...(maxPerTask !== undefined && { maxPerTask }),
    })
    const { id: _, data: __, ...reached } = checkpoint
    onProgress?.(reached)
  }

  /** Like {@link save}, but at most once in `every` milliseconds; what comes between is saved when the worker ends. */
  async report(progress: number, data: T): Promise<void> {
    const { every = DEFAULT_EVERY } = this.#options
    if (performance.now() - this.#saved >= every) await this.save(progress, data)
    else this.#unsaved = { progress, data }
  }

  /** @internal */
  async saveReported(): Promise<void> {
    if (this.#unsaved !== undefined) await this.save(this.#unsaved.progress, this.#unsaved.data)
  }

  /** From the pace of this run; `undefined` while it cannot be told. */
  #estimate(progress: number): number | undefined {
    const done = progress - (this.resumed?.progress ?? 0)
    if (done <= 0 || progress > 100) return undefined
    return Math.round(((100 - progress) * (performance.now() - this.#begin)) / done)
  }
}

const DEFAULT_EVERY = 1_000

/** Runs `worker` under the task's lease; see {@link Checkpoints.run}. */
export async function runTask<T, Result>(
  taskId: string,
  options: RunOptions,
  worker: (task: Task<T>) => Promise<Result>,
  { checkpoints, locks, deleteUnder }: TaskContext,
): Promise<Result> {
  refuseUnknown('options', options, ['lock', 'every', 'maxPerTask', 'keep', 'signal', 'onProgress'])
  assertMilliseconds('options.every', options.every ?? DEFAULT_EVERY)
  const { signal } = options
  const lock = signal === undefined ? options.lock : { signal, ...options.lock }
  return locks.withLock(taskId, lock ?? {}, async (lease) => {
    const resumed = await checkpoints.loadLatest<T>(taskId)
    const stopping = follow(signal === undefined ? [lease.signal] : [lease.signal, signal])
    const task = new Task<T>(taskId, resumed, lease, stopping.signal, options, checkpoints)
    let result: Result
    try {
      result = await worker(task)
    } catch (error) {
      // What the worker threw matters more than a save that fails for the same reason.
      await task.saveReported().catch(() => {})
      throw error
    } finally {
      stopping.release()
    }
    lease.signal.throwIfAborted()
    if (options.keep === true) {
      await task.saveReported()
      await assertNotLost(lease)
    } else {
      await deleteUnder(lease)
    }
    return result
  })
}

// A loss that the renewal has not met yet: a successor may be at work, and this result is not the only one.
async function assertNotLost(lease: Lease): Promise<void> {
  if (await lease.isValid()) return
  throw new LockLostError(lease.remaining > 0 ? 'stolen' : 'expired', 'the task was run, but its lease was lost', {
    operation: 'run',
  })
}
