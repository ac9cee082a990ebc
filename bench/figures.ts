import { parseArgs } from 'node:util'
import { isDocumented, writeDocument } from './report/markdown.js'
import { drawThroughput } from './report/plot.js'
import { hasFigures, writeFigures } from './report/readme.js'
import { readResults } from './results.js'

const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } })
const results = await readResults()
if (!values.check) {
  await writeDocument(results)
  await drawThroughput(results)
  await writeFigures(results)
} else if (!(await hasFigures(results)) || !(await isDocumented(results))) {
  console.error("README.md or bench/results.md disagrees with bench/results.json: run 'npm run bench:figures'")
  process.exitCode = 1
}
