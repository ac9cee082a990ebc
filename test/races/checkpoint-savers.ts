import { MySQLAdapter } from 'goscope-mysql'
import { createPool } from 'mysql2/promise'
import { childArgument } from '../support/child-process.js'

/** Which sequences this process saves: every `processes`th, from `first` on. */
export interface SaversArgument {
  readonly url: string
  readonly first: number
  readonly processes: number
  readonly tasks: number
  readonly rounds: number
  readonly kept: number
}

const { url, first, processes, tasks, rounds, kept } = childArgument<SaversArgument>()
const pool = createPool({ uri: url })
const state = new MySQLAdapter(pool)

process.send?.('ready')
await new Promise((resolve) => process.once('message', resolve))

const errors: string[] = []
async function work(taskId: string): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    const sequence = round * processes + first
    const id = `${taskId}:${sequence}`
    try {
      await state.save({ id, taskId, sequence, timestamp: sequence, progress: round, data: { round } })
      await state.cleanup(taskId, kept)
    } catch (error) {
      errors.push(`${error}, caused by ${error instanceof Error ? error.cause : 'nothing'}`)
    }
  }
}
await Promise.all(Array.from({ length: tasks }, (_, task) => work(`task-${task}`)))
process.send?.({ errors })
await state.disconnect()
await pool.end()
process.disconnect()
