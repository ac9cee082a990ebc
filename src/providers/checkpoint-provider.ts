import { jsonCodec } from '../codec/json-codec.js'
import type { Checkpoint, CheckpointProvider } from '../contracts.js'
import type { Operations } from '../database/operations.js'
import { InvalidArgumentError } from '../errors.js'
import { KeySpace } from '../keys.js'
import { assertCount } from '../options.js'
import type { CheckpointRepository, CheckpointRow } from '../repositories/checkpoint-repository.js'

/** The progress of tasks over the rows of `go_goscope_checkpoints`. */
export class Checkpoints implements CheckpointProvider {
  readonly #repository: CheckpointRepository
  readonly #operations: Operations
  readonly #ids: KeySpace
  readonly #tasks: KeySpace

  constructor(repository: CheckpointRepository, operations: Operations, keyPrefix: string) {
    this.#repository = repository
    this.#operations = operations
    this.#ids = new KeySpace(keyPrefix, 'checkpoint')
    this.#tasks = new KeySpace(keyPrefix, 'task')
  }

  /**
   * Stores a checkpoint, replacing every field of the one with the same id.
   *
   * @throws {@link InvalidArgumentError} also when the id already belongs to another task; nothing is changed then.
   * @throws {@link SerializationError} | {@link ContentionError} | {@link UnavailableError}
   */
  async save<T>(checkpoint: Checkpoint<T>): Promise<void> {
    assertCount('sequence', checkpoint.sequence)
    for (const name of ['timestamp', 'progress'] as const) assertFinite(name, checkpoint[name])
    const { estimatedTimeRemaining } = checkpoint
    if (estimatedTimeRemaining !== undefined) assertFinite('estimatedTimeRemaining', estimatedTimeRemaining)
    const row: CheckpointRow = {
      id: this.#ids.toStored(checkpoint.id),
      taskId: this.#tasks.toStored(checkpoint.taskId),
      sequence: checkpoint.sequence,
      timestamp: checkpoint.timestamp,
      progress: checkpoint.progress,
      data: jsonCodec.encode(checkpoint.data),
      estimatedTimeRemaining: estimatedTimeRemaining ?? null,
    }
    const isStored = await this.#operations.run('save', () => this.#repository.put(row))
    if (!isStored) {
      throw new InvalidArgumentError('expected an id of this task, got one that belongs to another task', {
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
    const row = await this.#operations.run('load', () => this.#repository.find(id))
    return row && this.#toCheckpoint<T>(row)
  }

  /**
   * The task's checkpoint with the highest sequence, and of those the one with the latest timestamp;
   * `undefined` when it has none.
   *
   * @throws {@link InvalidArgumentError} | {@link SerializationError} | {@link UnavailableError}
   */
  async loadLatest<T>(taskId: string): Promise<Checkpoint<T> | undefined> {
    const task = this.#tasks.toStored(taskId)
    const row = await this.#operations.run('loadLatest', () => this.#repository.findLatest(task))
    return row && this.#toCheckpoint<T>(row)
  }

  /**
   * All checkpoints of the task by ascending sequence, then timestamp. Reads them in pages.
   *
   * @throws {@link InvalidArgumentError} | {@link SerializationError} | {@link UnavailableError}
   */
  async list(taskId: string): Promise<Checkpoint<unknown>[]> {
    const task = this.#tasks.toStored(taskId)
    return this.#operations.run('list', async () => {
      const found: Checkpoint<unknown>[] = []
      for await (const row of this.#repository.list(task)) found.push(this.#toCheckpoint(row))
      return found
    })
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
    await this.#operations.run('cleanup', () => this.#repository.removeBeyond(task, keepCount))
  }

  /**
   * Deletes all checkpoints of the task. Harmless when it has none.
   *
   * @throws {@link InvalidArgumentError} | {@link ContentionError} | {@link UnavailableError}
   */
  async deleteAll(taskId: string): Promise<void> {
    const task = this.#tasks.toStored(taskId)
    await this.#operations.run('deleteAll', () => this.#repository.removeBeyond(task, 0))
  }

  #toCheckpoint<T>(row: CheckpointRow): Checkpoint<T> {
    return {
      id: this.#ids.fromStored(row.id),
      taskId: this.#tasks.fromStored(row.taskId),
      sequence: row.sequence,
      timestamp: row.timestamp,
      progress: row.progress,
      data: jsonCodec.decode(row.data) as T,
      ...(row.estimatedTimeRemaining !== null && { estimatedTimeRemaining: row.estimatedTimeRemaining }),
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
