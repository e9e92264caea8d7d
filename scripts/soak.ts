// `npm run soak [-- --exchanges N --seed S --seconds T --plant PLANT --plain]`, PLANT being leak,
// timer, listener or memory: a million mixed exchanges with aborts, resets, half-closes and stalls
// on both sides, on the sockets of the product or on plain ones; exits 1 when anything is left at
// the end, memory grows or an answer was wrong. Runs under `--expose-gc`.
import { parseArgs } from 'node:util';
import { plants } from '../test/sim/soak-census.ts';
import { runSoak } from '../test/sim/soak.ts';

const { values } = parseArgs({
  options: {
    exchanges: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '7200' },
    plant: { type: 'string', default: 'none' },
    plain: { type: 'boolean', default: false },
  },
});
const plant = plants.find((one) => one === values.plant);
const numbers = [values.exchanges, values.seed, values.seconds].map(Number);
const [exchanges = NaN, seed = NaN, seconds = NaN] = numbers;
if (plant === undefined || !numbers.every((one) => Number.isInteger(one) && one > 0)) {
  console.error(`soak: --exchanges, --seed and --seconds are numbers, --plant ${plants.join('|')}`);
  process.exit(2);
}
const print = (line: string): void => console.log(line);
print(`soak: ${exchanges} exchanges, seed ${seed}, planted: ${plant}, node ${process.version}`);
const { faults, exchanges: played } = await runSoak({
  exchanges,
  seed,
  seconds,
  plant,
  plain: values.plain,
  print,
});
for (const fault of faults) print(`FAULT ${fault}`);
if (played < exchanges) print(`soak: cut short, ${played} of ${exchanges} exchanges`);
print(faults.length === 0 ? 'soak: nothing leaked' : `soak: ${faults.length} faults`);
process.exit(faults.length === 0 ? 0 : 1);
