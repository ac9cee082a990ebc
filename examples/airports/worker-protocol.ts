import type { Plan } from './dataset.js'

/** What a worker does between two steps; it can be killed after each of them. */
export const steps = [
  'took a shard',
  'resumed',
  'looked up',
  'wrote',
  'committed',
  'recorded',
  'checkpointed',
  'cleaned up',
  'gave back',
] as const

export type Step = (typeof steps)[number]

/** What a worker is started with. */
export interface Assignment {
  readonly worker: number
  readonly databaseUrl: string
  readonly serviceUrl: string
  readonly plan: Plan
  /** Milliseconds of pretended work for each batch, so that there is something to watch. */
  readonly pause: number
}

/** What a worker tells after each step. */
export interface WorkerStatus {
  step: Step | 'starting' | 'looking for a shard'
  /** The lock that is held, with its fencing token. */
  held: { readonly shard: number; readonly fence: number } | null
  /** Batches left until the shard is done. */
  batchesLeft: number
  rowsApplied: number
  /** Batches found to be applied: by the idempotency record, and by the table behind it. */
  repeatedByRecord: number
  repeatedByTable: number
  /** Writes refused because of an old fencing token. */
  refused: number
  cacheHits: number
  cacheMisses: number
}

/** What the supervisor orders: to end as by SIGKILL, or to be suspended as by SIGSTOP, right after a step. */
export interface Order {
  readonly signal: 'SIGKILL' | 'SIGSTOP'
  readonly after: Step
}

/** The name of a shard's lock and of its task. */
export function shardName(shard: number): string {
  return `shard-${shard}`
}

/** The idempotency key of a batch. */
export function batchKey(shard: number, batch: number): string {
  return `batch-${shard}-${batch}`
}
