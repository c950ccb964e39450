import { Module } from '@nestjs/common';
import { ContactNamesController } from './contact-names.controller.js';
import { CorrectionMemory } from './correction-memory.js';

@Module({ controllers: [ContactNamesController], providers: [CorrectionMemory] })
export class NameFormatterModule {}
