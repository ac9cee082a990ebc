import type { Codec } from '../../codec/codec.js'
import type { Checkpoint } from '../../contracts.js'
import { InvalidArgumentError } from '../../errors.js'
import type { KeySpace } from '../../keys.js'
import { assertCount } from '../../options.js'
import type { CheckpointRow, TaskRow } from '../../repositories/checkpoint-repository.js'

/** How far a task is. */
export interface TaskProgress {
  readonly taskId: string
  readonly sequence: number
  /** Milliseconds since 1970, as saved. */
  readonly timestamp: number
  readonly progress: number
  /** Milliseconds the task expects to need still. */
  readonly estimatedTimeRemaining?: number
}

/** Checkpoints as callers know them, and as they are stored. */
export class CheckpointMapping {
  readonly #codec: Codec
  readonly #ids: KeySpace
  readonly #tasks: KeySpace

  constructor(codec: Codec, ids: KeySpace, tasks: KeySpace) {
    this.#codec = codec
    this.#ids = ids
    this.#tasks = tasks
  }

  /** @throws {@link InvalidArgumentError} | {@link SerializationError} */
  toRow(checkpoint: Checkpoint<unknown>): CheckpointRow {
    assertCount('sequence', checkpoint.sequence)
    for (const name of ['timestamp', 'progress'] as const) assertFinite(name, checkpoint[name])
    const { estimatedTimeRemaining } = checkpoint
    if (estimatedTimeRemaining !== undefined) assertFinite('estimatedTimeRemaining', estimatedTimeRemaining)
    return {
      id: this.#ids.toStored(checkpoint.id),
      taskId: this.#tasks.toStored(checkpoint.taskId),
      sequence: checkpoint.sequence,
      timestamp: checkpoint.timestamp,
      progress: checkpoint.progress,
      data: this.#codec.encode(checkpoint.data),
      estimatedTimeRemaining: estimatedTimeRemaining ?? null,
    }
  }

  toCheckpoint<T>(row: CheckpointRow): Checkpoint<T> {
    return {
      id: this.#ids.fromStored(row.id),
      ...this.toProgress(row),
      data: this.#codec.decode(row.data) as T,
    }
  }

  toProgress(row: TaskRow): TaskProgress {
    const { sequence, timestamp, progress, estimatedTimeRemaining } = row
    const taskId = this.#tasks.fromStored(row.taskId)
    return {
      taskId,
      sequence,
      timestamp,
      progress,
      ...(estimatedTimeRemaining !== null && { estimatedTimeRemaining }),
    }
  }
}

function assertFinite(name: string, value: number): void {
  if (!Number.isFinite(value)) {
    throw new InvalidArgumentError(
      `${name}: expected a finite number, got ${typeof value === 'number' ? value : typeof value}`,
    )
  }
}
