import { expect, it, onTestFinished } from 'vitest'
import { Child } from '../support/child-process.js'
import { onEveryServer } from '../support/every-server.js'
import type { SaversArgument } from './checkpoint-savers.js'

onEveryServer('saving and cleaning up the same tasks at once', (context) => {
  it('from four processes raises no error and leaves the five latest of each', async () => {
    const state = await context.adapter()
    const load = { processes: 4, tasks: 20, rounds: 15, kept: 5 }
    const children = Array.from({ length: load.processes }, (_, first) => {
      const argument: SaversArgument = { ...load, url: context.url, first }
      return new Child<'ready' | { errors: string[] }>('races/checkpoint-savers.ts', argument)
    })
    onTestFinished(async () => {
      await Promise.all(children.map((child) => child.kill()))
    })
    await Promise.all(children.map((child) => child.until((message) => message === 'ready')))
    for (const child of children) child.process.send('go')
    const messages = await Promise.all(children.map((child) => child.end()))
    expect(messages.map((said) => said.at(-1))).toStrictEqual(children.map(() => ({ errors: [] })))

    for (let task = 0; task < load.tasks; task++) {
      const sequences = (await state.list(`task-${task}`)).map(({ sequence }) => sequence)
      expect(sequences).toStrictEqual([55, 56, 57, 58, 59])
    }
  })
})
