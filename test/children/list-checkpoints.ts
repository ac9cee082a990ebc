import { MySQLAdapter } from 'goscope-mysql'
import { childArgument } from '../support/child-process.js'

/** What a process that lists a task's checkpoints is told. */
export interface Listing {
  readonly url: string
  readonly keyPrefix: string
  readonly taskId: string
}

/** What it found. */
export interface Listed {
  readonly count: number
  readonly isAscending: boolean
  readonly lengths: readonly number[]
  readonly sample: unknown
}

const { url, keyPrefix, taskId } = childArgument<Listing>()
const state = new MySQLAdapter(url, { keyPrefix })
const found = await state.list(taskId)
await state.disconnect()
const middle = found[Math.floor(found.length / 2)]
const listed: Listed = {
  count: found.length,
  isAscending: found.every(({ sequence }, index) => sequence === index + 1),
  lengths: [...new Set(found.map(({ data }) => (data as string).length))],
  sample: { ...middle, data: String(middle?.data).slice(0, 10) },
}
process.send?.(listed, () => process.disconnect())
