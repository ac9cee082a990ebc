import type { Transaction } from '../../database/transaction.js'
import type { Lock } from '../locks/lock-handle.js'
import type { Lease, LeaseOptions } from '../locks/lock-lease.js'
import type { TaskProgress } from './checkpoint-mapping.js'

/** How a checkpoint is saved. */
export interface SaveOptions {
  /**
   * The caller's open transaction: the checkpoint is committed with its other writes, or not at all.
   * Nothing is repeated inside it.
   */
  tx?: Transaction
  /** Save only while this lock is held; its token is stored along. */
  lease?: Lease | Lock
  /** Delete all but this many of the task's latest checkpoints afterwards. */
  maxPerTask?: number
}

/** How a task is run. */
export interface RunOptions {
  /** How the task's lease is taken and kept. */
  lock?: LeaseOptions
  /**
   * Milliseconds between two saves of what `task.report` is told.
   *
   * @default 1000
   */
  every?: number
  /** How many checkpoints of the task are kept while it runs; all by default. */
  maxPerTask?: number
  /**
   * Whether the checkpoints stay after success.
   *
   * @default false
   */
  keep?: boolean
  /** Aborts `task.signal`, and the waiting for the lease. */
  signal?: AbortSignal
  /** Called after each save. */
  onProgress?: (progress: TaskProgress) => void
}
